"""Outside suppliers as servers on real sockets, in their real shapes. Each passes the contract test of its adapter."""
