// swift-tools-version:5.9
import PackageDescription

// libgigastt is found by pkg-config (`make install`, then PKG_CONFIG_PATH=PREFIX/lib/pkgconfig). For iOS and for
// applications, put the xcframework of docs/embedding.md in its place: .binaryTarget(name: "CGigastt", path: ...).
let package = Package(
    name: "Gigastt",
    platforms: [.macOS(.v13), .iOS(.v16)],
    products: [.library(name: "Gigastt", targets: ["Gigastt"])],
    targets: [
        .systemLibrary(name: "CGigastt", pkgConfig: "gigastt"),
        .target(name: "Gigastt", dependencies: ["CGigastt"]),
        .executableTarget(name: "words", dependencies: ["Gigastt"]),
    ]
)
