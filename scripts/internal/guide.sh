#!/usr/bin/env bash
# What Databricks' guide to connecting an application by API does by hand: two
# calls, and the answer as PGPASSWORD. scripts/bench compares with it.
set -euo pipefail
access_token=$(curl -sS --fail --cacert "$LAKEBASE_CACERT" -X POST "$DATABRICKS_HOST/oidc/v1/token" \
  -u "$DATABRICKS_CLIENT_ID:$DATABRICKS_CLIENT_SECRET" \
  -d 'grant_type=client_credentials&scope=all-apis' | jq -r .access_token)
PGPASSWORD=$(curl -sS --fail --cacert "$LAKEBASE_CACERT" -X POST "$DATABRICKS_HOST/api/2.0/postgres/credentials" \
  -H "Authorization: Bearer $access_token" -H 'Content-Type: application/json' \
  -d "{\"endpoint\": \"$ENDPOINT_NAME\"}" | jq -r .token)
export PGPASSWORD
exec "$@"
