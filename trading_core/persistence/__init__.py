"""The ledger on disk: tables, migrations, transactions, and one repository for each kind of record."""
