"""Rule documents and their versions: read, written, checked, planned, published, rolled back."""
