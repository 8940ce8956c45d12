SELECT {summary}, data FROM {session} WHERE id = ?1
