package cli

import "github.com/lakebase-exec/lakebase-exec/internal/exchange"

// instanceHint is what to do about a call that was about an instance of Lakebase
// Provisioned; empty where an endpoint's hint does as well. from says who named it.
func instanceHint(e *exchange.Error, from string) string {
	switch e.Kind {
	case exchange.KindInstanceStopped:
		return "start the instance in the console: no login can"
	case exchange.KindInstanceFailingOver:
		return "try again in a minute: another node is taking over"
	case exchange.KindInstanceDeleting:
		return "check " + from + ": no login can bring it back; where it was moved to Lakebase Autoscaling, name its endpoint with --endpoint"
	}
	if !e.IsInstance() {
		return ""
	}
	switch e.Kind {
	case exchange.KindEndpointMalformed:
		return "check " + from + ": it is the instance's name as it stands in the console"
	case exchange.KindEndpointNotFound:
		return "check " + from + ", and that the service principal may use the instance; where it was moved to Lakebase Autoscaling, name its endpoint with --endpoint"
	case exchange.KindPermissionDenied:
		return "give the service principal CAN USE on the instance"
	case exchange.KindRefused:
		if e.Call == exchange.CallInstanceCredential && e.Status == 404 {
			return "where the workspace has no such call, its own token is the password: --credential workspace"
		}
	}
	return ""
}
