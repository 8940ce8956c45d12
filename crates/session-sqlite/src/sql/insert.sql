INSERT INTO {session} (id, version, user_id, created_at, last_seen, idle_ms, absolute_ms, body, data, is_visitor)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
