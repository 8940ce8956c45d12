UPDATE {session} SET last_seen = max(last_seen, ?2) WHERE id = ?1 AND {deadline} > ?2 RETURNING 1
