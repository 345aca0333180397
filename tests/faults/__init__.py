"""The fault matrix: real processes on real servers are struck while jobs come in over HTTP, and every row is audited.

`python -m tests.faults --seed 7` (`make faults SEED=7`). `matrix` says what strikes and what must hold; `ground` is
what is struck, `storm` the clients, `outside` the receivers, `audit` the judge. No tables beyond those in `kinds`.
"""
