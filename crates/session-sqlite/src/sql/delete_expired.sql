DELETE FROM {session} WHERE rowid IN (
    SELECT rowid FROM {session} WHERE is_visitor IN (0, 1) AND {deadline} <= ?1 LIMIT ?2
)
RETURNING 1
