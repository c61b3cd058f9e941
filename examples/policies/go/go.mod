module home-first

go 1.24
