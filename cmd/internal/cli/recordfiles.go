package cli

import (
	"path/filepath"

	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// recordSuffix ends the name of the file that stands beside a secret's and says
// when it was made. It holds no secret, and goes with the secret's.
const recordSuffix = ".rotation"

const maxRecord = 64 << 10

// Record reads what is recorded of account's secret; fs.ErrNotExist says that
// there is nothing.
func (f SecretFiles) Record(account string) (string, error) {
	name := secretFileName(account) + recordSuffix
	d, err := f.open(filepath.Join(f.Dir, name))
	if err != nil {
		return "", err
	}
	defer d.Close()
	data, err := d.ReadFile(name, maxRecord)
	return string(data), err
}

// KeepRecord replaces it.
func (f SecretFiles) KeepRecord(account, text string) error {
	d, err := securefile.OpenDir([]string{f.Dir})
	if err != nil {
		return err
	}
	defer d.Close()
	return d.WriteFileSync(secretFileName(account)+recordSuffix, []byte(text+"\n"))
}
