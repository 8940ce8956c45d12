UPDATE {session} SET version = ?2, created_at = ?4, last_seen = max(last_seen, ?5), idle_ms = ?6, absolute_ms = ?7, body = ?8,
    data = ?9
WHERE id = ?1 AND version = ?10 AND {deadline} > ?11
RETURNING 1
