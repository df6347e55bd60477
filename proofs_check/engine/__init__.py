"""The verification engine: measure, search, shrink, confirm, certify, prove; `verify` runs them over claims."""
