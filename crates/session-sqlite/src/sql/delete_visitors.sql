-- Those that were used least recently. Without INDEXED BY, all of them would be sorted.
DELETE FROM {session} WHERE rowid IN (
    SELECT rowid FROM {session} INDEXED BY {session_visitor}
    WHERE is_visitor = 1 AND id <> ?1 ORDER BY last_seen LIMIT ?2
)
RETURNING id
