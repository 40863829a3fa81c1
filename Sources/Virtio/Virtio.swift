// Placeholder of module Virtio.
