package rootcerts

// systemBundles holds the file that macOS ships for programs built on OpenSSL
// and LibreSSL, libpq among them.
var systemBundles = []string{"/etc/ssl/cert.pem"}

// cacheVariable moves the user's cache directory.
const cacheVariable = "HOME"

const platformVerifies = true
