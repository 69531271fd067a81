"""What leadflow costs, measured beside the same work done plainly, in the same run. `make bench`."""
