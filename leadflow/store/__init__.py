"""The store: tables, named queries, the ledger, migrations, and the embedded PostgreSQL. Entities stay in here."""
