"""What ours is compared with. Not changed after its first commit without a reason in the commit's message."""
