# Finds single OpenCV modules by header and library, as targets opencv_core, opencv_imgproc, ...
#
#   find_package(OpenCV REQUIRED COMPONENTS core imgproc)
#
# Debian ships OpenCV's own CMake files only in libopencv-dev, which installs every module with all it depends on.
# This module needs no more than the -dev packages of the components asked for.

find_path(OpenCV_INCLUDE_DIR opencv2/core.hpp PATH_SUFFIXES opencv4)
foreach(component IN LISTS OpenCV_FIND_COMPONENTS)
  find_library(OpenCV_${component}_LIBRARY opencv_${component})
  if(OpenCV_${component}_LIBRARY AND EXISTS "${OpenCV_INCLUDE_DIR}/opencv2/${component}.hpp")
    set(OpenCV_${component}_FOUND TRUE)
  endif()
endforeach()

if(OpenCV_INCLUDE_DIR)
  file(STRINGS "${OpenCV_INCLUDE_DIR}/opencv2/core/version.hpp" version_lines REGEX "#define CV_VERSION_(MAJOR|MINOR|REVISION) ")
  string(REGEX MATCHALL "[0-9]+" OpenCV_VERSION "${version_lines}")
  list(JOIN OpenCV_VERSION "." OpenCV_VERSION)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OpenCV
  REQUIRED_VARS OpenCV_INCLUDE_DIR VERSION_VAR OpenCV_VERSION HANDLE_COMPONENTS)

if(OpenCV_FOUND)
  foreach(component IN LISTS OpenCV_FIND_COMPONENTS)
    if(OpenCV_${component}_FOUND AND NOT TARGET opencv_${component})
      add_library(opencv_${component} SHARED IMPORTED)
      set_target_properties(opencv_${component} PROPERTIES
        IMPORTED_LOCATION "${OpenCV_${component}_LIBRARY}"
        INTERFACE_INCLUDE_DIRECTORIES "${OpenCV_INCLUDE_DIR}")
    endif()
    list(APPEND OpenCV_LIBS opencv_${component})
  endforeach()
endif()
mark_as_advanced(OpenCV_INCLUDE_DIR)
