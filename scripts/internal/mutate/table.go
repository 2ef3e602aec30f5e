package main

import "slices"

// table is every mutant, by room.
func table() []mutant {
	return slices.Concat(exchangeMutants, retryMutants, credentialMutants, cacheMutants, keychainMutants, wakeMutants,
		tokenMutants, rotateMutants, configMutants, pgenvMutants, safefileMutants, proxyMutants, refreshMutants, childMutants, wordsMutants)
}
