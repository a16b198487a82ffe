-- Run once by the PostgreSQL image, beside the database POSTGRES_DB: what became of every row.
CREATE DATABASE ledger;
