"""What `pgtheory bench` runs: this library and its peers side by side, on the same instances, in the same process."""
