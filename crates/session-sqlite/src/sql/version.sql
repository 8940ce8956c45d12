SELECT version FROM {session} WHERE id = ?1 AND {deadline} > ?2
