-- Gives some free pages back to the file system, where the file is set up for that.
PRAGMA incremental_vacuum(8)
