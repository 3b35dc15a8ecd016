"""Every query of the desk, one repository for each kind of record. Reached through `session.UnitOfWork`."""
