import Testing

@testable import ContainerRuntime

@Suite struct InstallationTests {
    @Test(arguments: [("/usr/local/bin", "/usr/local/share/swiftlet/vmlinux"), ("/bin", "/share/swiftlet/vmlinux")])
    func filesAreBesideTheProgramsDirectory(programs: String, kernel: String) {
        let installation = Installation(programs: programs)
        #expect(installation.kernel == kernel)
        #expect(installation.vmm == programs + "/swiftlet-vmm")
    }
}
