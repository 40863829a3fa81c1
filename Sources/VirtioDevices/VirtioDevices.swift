// Placeholder of module VirtioDevices.
