# SPDX-License-Identifier: MIT
# `cpack -G TGZ` in the build folder makes a bundle that checks a GPU on a machine without a compiler or a package
# manager: programs, tests, data, and every library but the driver, cuDNN, cuBLAS, NVRTC and the C library.
set(QNUDGE_FASHION_MNIST /usr/share/datasets/fashion-mnist CACHE PATH "Data that the bundle's check runs on")
install(TARGETS qnudge qnudge_conv_benchmark RUNTIME_DEPENDENCY_SET qnudge_runtime DESTINATION bin COMPONENT bundle)
if(QNUDGE_TESTS)
  install(TARGETS qnudge_gpu_tests RUNTIME_DEPENDENCY_SET qnudge_runtime DESTINATION bin COMPONENT bundle)
endif()
set(vendor_libraries "^libcuda\\.so" "^libcudnn" "^libcublas" "^libnvrtc")
set(system_libraries "/ld-linux" "/libc\\.so" "/libm\\.so" "/libpthread\\.so" "/libdl\\.so" "/librt\\.so")
# These two need a newer C library than the programs do: apart, for systems that have none of their own that serve.
set(compiler_libraries "/libstdc\\+\\+\\.so" "/libgcc_s\\.so")
install(RUNTIME_DEPENDENCY_SET qnudge_runtime PRE_EXCLUDE_REGEXES ${vendor_libraries}
        POST_EXCLUDE_REGEXES ${system_libraries} ${compiler_libraries} DESTINATION lib COMPONENT bundle)
install(RUNTIME_DEPENDENCY_SET qnudge_runtime PRE_EXCLUDE_REGEXES ${vendor_libraries}
        POST_INCLUDE_REGEXES ${compiler_libraries} POST_EXCLUDE_REGEXES "." DESTINATION lib/compiler COMPONENT bundle)
install(PROGRAMS ${PROJECT_SOURCE_DIR}/scripts/gpu_check.sh DESTINATION . COMPONENT bundle)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/configs/checks DESTINATION configs COMPONENT bundle)
install(FILES ${PROJECT_SOURCE_DIR}/models/fashion_mnist_resnet8.onnx DESTINATION models COMPONENT bundle)
install(DIRECTORY ${QNUDGE_FASHION_MNIST}/ DESTINATION data COMPONENT bundle FILES_MATCHING PATTERN "*-ubyte.gz")

set(CPACK_GENERATOR TGZ)
set(CPACK_PACKAGE_FILE_NAME qnudge-gpu-check)
set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL bundle)
set(CPACK_ARCHIVE_BUNDLE_FILE_NAME qnudge-gpu-check)
set(CPACK_STRIP_FILES ON)
include(CPack)
