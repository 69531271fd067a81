"""What tests stand on: servers, processes, factories."""
