SELECT {summary} FROM {session} WHERE id > coalesce(?1, x'') AND {deadline} > ?2 ORDER BY id LIMIT ?3
