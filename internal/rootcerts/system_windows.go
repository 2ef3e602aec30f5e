package rootcerts

// systemBundles is empty: Windows keeps its roots in a store, not in a file.
var systemBundles = []string{}

// cacheVariable moves the user's cache directory.
const cacheVariable = "LOCALAPPDATA"

const platformVerifies = true
