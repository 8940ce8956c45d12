DELETE FROM {session} WHERE id = ?1
