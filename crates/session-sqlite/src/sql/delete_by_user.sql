DELETE FROM {session} WHERE user_id = ?1 AND id IS NOT ?2 RETURNING {summary}, {deadline} > ?3
