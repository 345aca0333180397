# pragma version 0.4.3
"""
@title Development Pyth
@notice The part of Pyth's interface that the exchange uses, for a local chain. It accepts the same accumulator bytes
        (PNAU) as the real contract and checks as much: the guardian set, a quorum of distinct signatures, the emitter,
        and every Merkle path. It reverts with the real contract's error selectors. The guardian set is fixed at
        deployment; given the real set it accepts real updates.

        Layout, big-endian throughout:
        blob    "PNAU" major u8=1 minor u8 extra u8 (that many bytes) type u8=0 | vaa size u16, vaa | count u8, updates
        update  size u16, message | proof count u8, 20 bytes each
        vaa     version u8=1 guardian set u32 signature count u8 | index u8, r 32, s 32, v u8 each | body
        body    time u32 nonce u32 chain u16 emitter 32 sequence u64 consistency u8 | payload
        payload "AUWV" type u8=0 slot u64 ring size u32 root 20
        message type u8=0 id 32 price i64 conf u64 expo i32 publish i64 previous i64 ema i64 ema conf u64
        A longer message, payload or header is a later minor version and is accepted; a blob must end exactly.
"""

struct Price:
    price: int64
    conf: uint64
    expo: int32
    publishTime: uint256

event PriceFeedUpdate:
    id: indexed(bytes32)
    publishTime: uint64
    price: int64
    conf: uint64


BLOB_MAGIC: constant(Bytes[4]) = b"PNAU"
PAYLOAD_MAGIC: constant(Bytes[4]) = b"AUWV"
VAA_HEADER_SIZE: constant(uint256) = 6
SIGNATURE_SIZE: constant(uint256) = 66
BODY_HEADER_SIZE: constant(uint256) = 51
MESSAGE_SIZE: constant(uint256) = 85
# Every blob is padded by one word, so that 32 bytes may be read at any place in it.
PADDING: constant(uint256) = 32

GUARDIAN_SET_INDEX: immutable(uint256)
EMITTER_CHAIN: immutable(uint256)
EMITTER: immutable(bytes32)
UNIT_FEE: immutable(uint256)

guardians: public(DynArray[address, 19])
prices: HashMap[bytes32, Price]


@deploy
def __init__(
    guardian_set_index: uint32,
    guardians: DynArray[address, 19],
    emitter_chain: uint16,
    emitter: bytes32,
    unit_fee: uint256,
):
    """
    @param unit_fee Wei a price update.
    """
    assert len(guardians) > 0, "no guardians"
    for guardian: address in guardians:
        # ecrecover answers zero for a bad signature: a zero guardian would accept it.
        assert guardian != empty(address), "zero guardian"
    GUARDIAN_SET_INDEX = convert(guardian_set_index, uint256)
    EMITTER_CHAIN = convert(emitter_chain, uint256)
    EMITTER = emitter
    UNIT_FEE = unit_fee
    self.guardians = guardians


# ---------------------------------------------------------------- Pyth's interface

@external
@view
def getUpdateFee(update_data: DynArray[Bytes[4096], 8]) -> uint256:
    """
    @notice Wei that `updatePriceFeeds` asks for this data.
    """
    return self._fee(update_data)


@external
@payable
def updatePriceFeeds(update_data: DynArray[Bytes[4096], 8]):
    """
    @notice Verify the data and store each price that is newer than the stored one. Value above the fee is kept, as
            by the real contract: ask `getUpdateFee` first.
    """
    if msg.value < self._fee(update_data):
        raw_revert(method_id("InsufficientFee()"))
    for blob: Bytes[4096] in update_data:
        self._apply_blob(blob)


@external
@view
def getPriceUnsafe(id: bytes32) -> Price:
    """
    @notice The stored price, however old.
    """
    return self._stored(id)


@external
@view
def getPriceNoOlderThan(id: bytes32, age: uint256) -> Price:
    """
    @notice The stored price if its time is within `age` seconds of now, before or after.
    """
    price: Price = self._stored(id)
    if max(block.timestamp, price.publishTime) - min(block.timestamp, price.publishTime) > age:
        raw_revert(method_id("StalePrice()"))
    return price


@internal
@view
def _stored(id: bytes32) -> Price:
    price: Price = self.prices[id]
    if price.publishTime == 0:
        raw_revert(method_id("PriceFeedNotFound()"))
    return price


# ---------------------------------------------------------------- a blob

@internal
@view
def _fee(update_data: DynArray[Bytes[4096], 8]) -> uint256:
    updates: uint256 = 0
    for blob: Bytes[4096] in update_data:
        data: Bytes[4128] = concat(blob, empty(bytes32))
        vaa_at: uint256 = self._header_end(data)
        updates += self._read(data, vaa_at + 2 + self._read(data, vaa_at, 2), 1)
    return updates * UNIT_FEE


@internal
def _apply_blob(blob: Bytes[4096]):
    data: Bytes[4128] = concat(blob, empty(bytes32))
    vaa_at: uint256 = self._header_end(data)
    vaa_size: uint256 = self._read(data, vaa_at, 2)
    offset: uint256 = vaa_at + 2 + vaa_size
    updates: uint256 = self._read(data, offset, 1)  # also proves that the VAA lies inside the blob
    root: uint256 = self._verified_root(slice(blob, vaa_at + 2, vaa_size))
    offset += 1
    for _: uint256 in range(updates, bound=255):
        offset = self._apply_update(data, offset, root)
    self._require_update(offset == len(blob))


@internal
@pure
def _header_end(data: Bytes[4128]) -> uint256:
    # Where the VAA's size stands, after a header of a known major version.
    self._require_update(slice(data, 0, 4) == BLOB_MAGIC and self._read(data, 4, 1) == 1)
    type_at: uint256 = 7 + self._read(data, 6, 1)
    self._require_update(self._read(data, type_at, 1) == 0)
    return type_at + 1


@internal
def _apply_update(data: Bytes[4128], start: uint256, root: uint256) -> uint256:
    # Prove one message, store its price if it is newer, and return where the next update starts.
    size: uint256 = self._read(data, start, 2)
    message_at: uint256 = start + 2
    proof_at: uint256 = message_at + size
    proofs: uint256 = self._read(data, proof_at, 1)
    node: uint256 = self._short(keccak256(concat(b"\x00", slice(data, message_at, size))))
    offset: uint256 = proof_at + 1
    for _: uint256 in range(proofs, bound=255):
        node = self._parent(node, self._read(data, offset, 20))
        offset += 20
    self._require_update(node == root)
    self._require_update(size >= MESSAGE_SIZE and self._read(data, message_at, 1) == 0)
    self._store(data, message_at + 1)
    return offset


@internal
def _store(data: Bytes[4128], at: uint256):
    id: bytes32 = extract32(data, at)
    publish_time: uint256 = self._read(data, at + 52, 8)
    if publish_time > self.prices[id].publishTime:
        price: Price = Price(
            price=convert(self._read_signed(data, at + 32, 8), int64),
            conf=convert(self._read(data, at + 40, 8), uint64),
            expo=convert(self._read_signed(data, at + 48, 4), int32),
            publishTime=publish_time,
        )
        self.prices[id] = price
        log PriceFeedUpdate(id=id, publishTime=convert(publish_time, uint64), price=price.price, conf=price.conf)


# ---------------------------------------------------------------- a VAA

@internal
@view
def _verified_root(vaa: Bytes[4096]) -> uint256:
    # The Merkle root that a quorum of guardians signed for Pyth's emitter.
    data: Bytes[4128] = concat(vaa, empty(bytes32))
    self._require_vaa(len(vaa) >= VAA_HEADER_SIZE)
    signatures: uint256 = self._read(data, 5, 1)
    body_at: uint256 = VAA_HEADER_SIZE + signatures * SIGNATURE_SIZE
    self._require_vaa(len(vaa) >= body_at + BODY_HEADER_SIZE)
    self._require_vaa(self._read(data, 0, 1) == 1 and self._read(data, 1, 4) == GUARDIAN_SET_INDEX)
    body: Bytes[4096] = slice(vaa, body_at, len(vaa) - body_at)
    self._check_signatures(data, signatures, keccak256(keccak256(body)))

    if self._read(data, body_at + 8, 2) != EMITTER_CHAIN or extract32(data, body_at + 10) != EMITTER:
        raw_revert(method_id("InvalidUpdateDataSource()"))
    payload_at: uint256 = body_at + BODY_HEADER_SIZE
    self._require_update(slice(data, payload_at, 4) == PAYLOAD_MAGIC and self._read(data, payload_at + 4, 1) == 0)
    return self._read(data, payload_at + 17, 20)


@internal
@view
def _check_signatures(data: Bytes[4128], signatures: uint256, digest: bytes32):
    # Indexes must rise, so no guardian counts twice; more than two thirds of the set must have signed.
    self._require_vaa(signatures > len(self.guardians) * 2 // 3)
    next_index: uint256 = 0
    for i: uint256 in range(signatures, bound=255):
        at: uint256 = VAA_HEADER_SIZE + i * SIGNATURE_SIZE
        index: uint256 = self._read(data, at, 1)
        self._require_vaa(index >= next_index and index < len(self.guardians))
        signer: address = ecrecover(
            digest, self._read(data, at + 65, 1) + 27, extract32(data, at + 1), extract32(data, at + 33)
        )
        self._require_vaa(signer == self.guardians[index])
        next_index = index + 1


# ---------------------------------------------------------------- bytes

@internal
@pure
def _read(data: Bytes[4128], at: uint256, size: uint256) -> uint256:
    # `size` bytes as an unsigned number; past the end of the unpadded data the update is malformed.
    self._require_update(at + size + PADDING <= len(data))
    return convert(extract32(data, at), uint256) >> (256 - 8 * size)


@internal
@pure
def _read_signed(data: Bytes[4128], at: uint256, size: uint256) -> int256:
    # Two's complement: >> on a signed number keeps the sign. The place was read unsigned or measured before.
    return convert(extract32(data, at), int256) >> (256 - 8 * size)


@internal
@pure
def _short(digest: bytes32) -> uint256:
    # The tree keeps the first 20 bytes of each hash.
    return convert(digest, uint256) >> 96


@internal
@pure
def _parent(one: uint256, other: uint256) -> uint256:
    low: bytes20 = convert(convert(min(one, other), uint160), bytes20)
    high: bytes20 = convert(convert(max(one, other), uint160), bytes20)
    return self._short(keccak256(concat(b"\x01", low, high)))


@internal
@pure
def _require_update(ok: bool):
    if not ok:
        raw_revert(method_id("InvalidUpdateData()"))


@internal
@pure
def _require_vaa(ok: bool):
    if not ok:
        raw_revert(method_id("InvalidWormholeVaa()"))
