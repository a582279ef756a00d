# SPDX-License-Identifier: MIT
# `cpack -G TGZ` in the build folder makes a bundle that checks a GPU on a machine without a compiler or a package
# manager: programs, tests, data, and every library but the driver, cuDNN, cuBLAS, NVRTC and the C library. It travels as
# one file, and one that has grown beyond QNUDGE_BUNDLE_MIB is refused.
set(QNUDGE_FASHION_MNIST /usr/share/datasets/fashion-mnist CACHE PATH "Data that the bundle's check runs on")
set(QNUDGE_BUNDLE_MIB 48 CACHE STRING "Largest bundle")
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
# ResNet18 is exported where the check runs: its weights are random and larger than all the rest.
install(PROGRAMS ${PROJECT_SOURCE_DIR}/scripts/export_model.py DESTINATION scripts COMPONENT bundle)
install(FILES ${PROJECT_SOURCE_DIR}/scripts/networks.py ${PROJECT_SOURCE_DIR}/scripts/training.py
        DESTINATION scripts COMPONENT bundle)
install(PROGRAMS ${PROJECT_SOURCE_DIR}/benchmarks/peers/pytorch_gpu.py DESTINATION benchmarks/peers COMPONENT bundle)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/configs/checks DESTINATION configs COMPONENT bundle)
install(FILES ${PROJECT_SOURCE_DIR}/models/fashion_mnist_resnet8.onnx DESTINATION models COMPONENT bundle)

# A check draws 2,500 training images: 5,000 leave it a choice, all 60,000 would be half of the bundle.
find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND AND EXISTS ${QNUDGE_FASHION_MNIST}/train-images-idx3-ubyte.gz)
  set(bundle_data ${CMAKE_BINARY_DIR}/bundle_data)
  foreach(name train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz)
    add_custom_command(OUTPUT ${bundle_data}/${name}
                       COMMAND ${CMAKE_COMMAND} -E make_directory ${bundle_data}
                       COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/scripts/cut_idx.py
                               ${QNUDGE_FASHION_MNIST}/${name} 5000 ${bundle_data}/${name}
                       DEPENDS ${PROJECT_SOURCE_DIR}/scripts/cut_idx.py ${QNUDGE_FASHION_MNIST}/${name} VERBATIM)
    list(APPEND cut_data ${bundle_data}/${name})
  endforeach()
  add_custom_target(qnudge_bundle_data ALL DEPENDS ${cut_data})
  install(FILES ${cut_data} ${QNUDGE_FASHION_MNIST}/t10k-images-idx3-ubyte.gz
                ${QNUDGE_FASHION_MNIST}/t10k-labels-idx1-ubyte.gz DESTINATION data COMPONENT bundle)
endif()

set(CPACK_GENERATOR TGZ)
set(CPACK_PACKAGE_FILE_NAME qnudge-gpu-check)
set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL bundle)
set(CPACK_ARCHIVE_BUNDLE_FILE_NAME qnudge-gpu-check)
set(CPACK_STRIP_FILES ON)
set(CPACK_QNUDGE_BUNDLE_MIB ${QNUDGE_BUNDLE_MIB})
set(CPACK_POST_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cuda/bundle_size.cmake)
include(CPack)
