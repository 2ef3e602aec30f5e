package rootcerts

// systemBundles holds the file that macOS ships for programs built on OpenSSL
// and LibreSSL, libpq among them.
var systemBundles = []string{"/etc/ssl/cert.pem"}

const platformVerifies = true
