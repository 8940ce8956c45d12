-- Gives free pages back to the file system, where the file is set up for that: at most a megabyte, which takes some milliseconds.
PRAGMA incremental_vacuum(256)
