DELETE FROM {session} WHERE rowid IN (
    SELECT rowid FROM {session} WHERE is_visitor = 1 AND {deadline} <= ?1 AND id <> ?2 LIMIT ?3
)
RETURNING 1
