# pragma version 0.4.3
# What the sender's tests call. `hits` counts each key's calls: the chain's own proof that none was made twice.

hits: public(HashMap[uint256, uint256])
closed: public(bool)


@external
@payable
def hit(key: uint256):
    assert not self.closed, "the target is closed"
    self.hits[key] += 1


@external
def close(shut: bool):
    self.closed = shut
