DELETE FROM {session} WHERE id = ?1 AND user_id IS ?2 RETURNING 1
