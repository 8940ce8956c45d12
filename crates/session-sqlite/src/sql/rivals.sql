-- What create decides on: 0, what has the id (?1); 1, the session to replace (?2); 2, the others of the user (?3).
SELECT 0, id, version, created_at, last_seen, {deadline} > ?4 FROM {session} WHERE id = ?1
UNION ALL
SELECT 1, id, version, created_at, last_seen, {deadline} > ?4 FROM {session} WHERE id = ?2
UNION ALL
SELECT 2, id, version, created_at, last_seen, 1 FROM {session}
WHERE user_id = ?3 AND {deadline} > ?4 AND id IS NOT ?2
