-- ARGV: the phrasing's id. Its result: 1 where there was one.
return publish(drop_phrasing(ARGV[3]) and 1 or 0)
