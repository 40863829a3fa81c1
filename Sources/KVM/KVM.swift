// Placeholder of module KVM.
