print("swiftlet-vmm")
