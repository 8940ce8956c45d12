SELECT {summary} FROM {session} WHERE user_id = ?1 AND {deadline} > ?2
