package rootcerts

// systemBundles is empty: Windows keeps its roots in a store, not in a file.
var systemBundles = []string{}

const platformVerifies = true
