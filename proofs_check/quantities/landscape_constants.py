"""Constants of the landscape: gradient mappings, domination, Hessians of other parametrisations."""
