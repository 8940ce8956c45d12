SELECT count(*) FROM {session} WHERE is_visitor IN (0, 1) AND {deadline} <= ?1
