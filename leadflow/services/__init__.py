"""The stories: receive, process, change records, register sales, publish rules; doors call them in a transaction."""
